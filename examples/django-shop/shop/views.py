from datetime import timedelta

from django.db import IntegrityError, transaction
from django.http import JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .models import Show, Ticket, show_capacity

BASKET = timedelta(minutes=10)


def create_ticket(show_id, **values):
    """The code with the bug: it counts, then creates."""
    show = get_object_or_404(Show, pk=show_id)
    sold = Ticket.objects.filter(show=show)
    sold = sold.exclude(status__in=["cancelled", "expired"])
    # (A basket past its time has its place until another ticket needs it.)
    sold = sold.exclude(status="basket", expires_at__lt=timezone.now())
    if sold.count() >= show.capacity:  # two requests pass this check
        return None
    try:
        with transaction.atomic():  # a savepoint, so that the request can go on
            return Ticket.objects.create(show=show, **values)  # and both sell
    except IntegrityError as error:
        if not show_capacity.violated_by(error):
            raise
        return None


def answer(ticket):
    if ticket is None:
        return JsonResponse({"error": "sold out"}, status=409)
    return JsonResponse({"ticket": ticket.pk, "status": ticket.status}, status=201)


@csrf_exempt
@require_POST
def buy(request, show_id):
    return answer(create_ticket(show_id, user_id=request.POST.get("user", 0)))


@csrf_exempt
@require_POST
def basket(request, show_id):
    """The first step of the sale in two steps."""
    return answer(
        create_ticket(
            show_id,
            user_id=request.POST.get("user", 0),
            status="basket",
            expires_at=timezone.now() + BASKET,
        )
    )


@csrf_exempt
@require_POST
def paid(request, ticket_id):
    """The payment provider says that the money is there.  It may say so again."""
    payment = request.POST["payment"]
    open_ticket = Ticket.objects.filter(pk=ticket_id, status__in=["basket", "expired"])
    try:
        with transaction.atomic():
            # If the basket has expired, this takes the place again, or is refused.
            open_ticket.update(status="paid", expires_at=None, payment=payment)
    except IntegrityError as error:
        if not show_capacity.violated_by(error):
            raise
    if Ticket.objects.filter(pk=ticket_id, payment=payment, status="paid").exists():
        return JsonResponse({"status": "paid"})
    return JsonResponse({"status": "refund"}, status=409)


@csrf_exempt
@require_POST
def payment_failed(request, ticket_id):
    """The place is free at once."""
    baskets = Ticket.objects.filter(pk=ticket_id, status="basket")
    return JsonResponse({"released": baskets.update(status="cancelled")})
