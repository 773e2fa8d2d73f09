"""The admin of events and tickets."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from ..admin import RefusalAdminMixin
from .models import Event, Hold, Lock, Ticket


class ReadOnlyMixin:
    """Shows rows that only pg_booking's functions should write."""

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(Event)
class EventAdmin(RefusalAdminMixin, admin.ModelAdmin):
    list_display = ("event_id", "name", "capacity", "sales_start", "sales_end")
    search_fields = ("name",)


@admin.register(Ticket)
class TicketAdmin(RefusalAdminMixin, admin.ModelAdmin):
    list_display = ("ticket_id", "event", "user", "seat", "booked_at", "cancelled_at")
    list_filter = ("event",)
    list_select_related = ("event", "user")
    raw_id_fields = ("event", "user")


@admin.register(Hold)
class HoldAdmin(ReadOnlyMixin, admin.ModelAdmin):
    list_display = ("hold_id", "event", "user", "quantity", "expires_at", "ended_at")
    list_select_related = ("event", "user")


@admin.register(Lock)
class LockAdmin(ReadOnlyMixin, admin.ModelAdmin):
    list_display = ("resource", "owner", "locked_at", "expires_at", "note")
