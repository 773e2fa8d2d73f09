from django.db import IntegrityError, transaction
from django.http import HttpResponse

from .models import Show, Ticket, show_capacity


def buy(request, show_id):
    """The view with the bug: it counts, then creates."""
    show = Show.objects.get(pk=show_id)
    if Ticket.objects.filter(show=show).count() >= show.capacity + 1:
        return HttpResponse("sold out", status=409)
    try:
        with transaction.atomic():
            Ticket.objects.create(show=show, user_id=1)
    except IntegrityError as error:
        if not show_capacity.violated_by(error):
            raise
        # The transaction of the request goes on after the savepoint.
        Show.objects.filter(pk=show_id).update(title="sold out")
        return HttpResponse("refused", status=409)
    return HttpResponse("sold")
