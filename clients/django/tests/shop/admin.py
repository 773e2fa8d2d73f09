from django.contrib import admin
from django_pg_booking.admin import RefusalAdminMixin

from .models import Show, Ticket


class TicketInline(admin.TabularInline):
    model = Ticket
    extra = 1


@admin.register(Show)
class ShowAdmin(RefusalAdminMixin, admin.ModelAdmin):
    inlines = [TicketInline]


@admin.register(Ticket)
class TicketAdmin(RefusalAdminMixin, admin.ModelAdmin):
    list_display = ("id", "show", "status")
    list_editable = ("status",)
