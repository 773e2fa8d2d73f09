import hashlib
import hmac
from datetime import timedelta
from functools import wraps

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpResponseBadRequest, HttpResponseForbidden, JsonResponse
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


def user_of(request):
    """The user's id in the form, or None.  (A real shop has request.user.)"""
    user = request.POST.get("user", "0")
    return int(user) if user.isdecimal() and len(user) < 19 else None


def signed(view):
    """Let only the payment provider call the view: it signs the path and the body."""

    @csrf_exempt
    @wraps(view)
    def checked(request, *args, **kwargs):
        key = settings.PAYMENT_SECRET.encode()
        message = request.path.encode() + request.body
        signature = hmac.new(key, message, hashlib.sha256).hexdigest()
        given = request.headers.get("X-Signature", "")
        if not hmac.compare_digest(signature.encode(), given.encode()):
            return HttpResponseForbidden("wrong signature")
        return view(request, *args, **kwargs)

    return checked


def answer(ticket):
    if ticket is None:
        return JsonResponse({"error": "sold out"}, status=409)
    return JsonResponse({"ticket": ticket.pk, "status": ticket.status}, status=201)


@csrf_exempt
@require_POST
def buy(request, show_id):
    user = user_of(request)
    if user is None:
        return HttpResponseBadRequest("user is not a number")
    return answer(create_ticket(show_id, user_id=user))


@csrf_exempt
@require_POST
def basket(request, show_id):
    """The first step of the sale in two steps."""
    user = user_of(request)
    if user is None:
        return HttpResponseBadRequest("user is not a number")
    expires_at = timezone.now() + BASKET
    return answer(
        create_ticket(show_id, user_id=user, status="basket", expires_at=expires_at)
    )


@signed
@require_POST
def paid(request, ticket_id):
    """The payment provider says that the money is there.  It may say so again."""
    payment = request.POST.get("payment")
    if not payment or len(payment) > 100:
        return HttpResponseBadRequest("no payment")
    open_ticket = Ticket.objects.filter(pk=ticket_id, status__in=["basket", "expired"])
    try:
        with transaction.atomic():
            # If the basket has expired, this takes the place again, or is refused.
            open_ticket.update(status="paid", expires_at=None, payment=payment)
    except IntegrityError as error:
        if show_capacity.violated_by(error):
            # Refunded for good, also if the call is repeated when a place is free.
            open_ticket.update(status="cancelled", payment=payment)
        elif not Ticket.objects.filter(payment=payment).exists():
            raise  # otherwise it is the payment of another ticket
    if Ticket.objects.filter(pk=ticket_id, payment=payment, status="paid").exists():
        return JsonResponse({"status": "paid"})
    return JsonResponse({"status": "refund"}, status=409)


@signed
@require_POST
def payment_failed(request, ticket_id):
    """The place is free at once."""
    baskets = Ticket.objects.filter(pk=ticket_id, status="basket")
    return JsonResponse({"released": baskets.update(status="cancelled")})
