from django.contrib import admin
from django_pg_booking.admin import RefusalAdminMixin

from .models import Show, Ticket


@admin.register(Show)
class ShowAdmin(RefusalAdminMixin, admin.ModelAdmin):
    list_display = ("title", "capacity")


@admin.register(Ticket)
class TicketAdmin(RefusalAdminMixin, admin.ModelAdmin):
    list_display = ("show", "user_id", "status", "expires_at")
    list_filter = ("status",)
