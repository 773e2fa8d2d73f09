"""A refusal in the admin, as an error of the form."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import messages
from django.db import IntegrityError, router, transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from .constraints import CapacityConstraint
from .errors import booking_error, diagnostics


class RefusalAdminMixin:
    """Mix it into a ModelAdmin: refusals become errors of the form.

    It covers the forms for adding and changing with their inlines, the editable
    list, the actions and deletion.
    """

    model: type[Model]

    def refusal_message(self, error: IntegrityError) -> str | None:
        """Return what to tell the user, or None if it is another error."""
        diag = diagnostics(error)
        for model in apps.get_models():
            for constraint in model._meta.constraints:
                if not isinstance(constraint, CapacityConstraint):
                    continue
                if constraint.violated_by(error):
                    # (The error can have a name that the table had before.)
                    key = model._meta.get_field(constraint.fields[0])
                    if diag.column_name == key.column:
                        return constraint.get_violation_error_message()
                    return "%s: %s" % (diag.message_primary, diag.message_detail)
        if booking_error(error) is None:
            # (An event that still has holds is deleted.)
            if getattr(diag, "schema_name", None) != "booking":
                return None
        return str(diag.message_primary)

    def changeform_view(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        view = super().changeform_view  # type: ignore[misc]
        try:
            with transaction.atomic(using=router.db_for_write(self.model)):
                return view(request, *args, **kwargs)
        except IntegrityError as error:
            refusal = self.refusal_message(error)
            if refusal is None:
                raise
            request._booking_refusal = refusal  # type: ignore[attr-defined]
            # Once more: get_form() makes the form invalid, so it is shown again.
            return view(request, *args, **kwargs)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form_class: Any = super().get_form(request, *args, **kwargs)  # type: ignore[misc]
        refusal = getattr(request, "_booking_refusal", None)
        if refusal is None:
            return form_class

        class RefusedForm(form_class):
            def clean(self) -> Any:
                cleaned = super().clean()
                self.add_error(None, refusal)
                return cleaned

        return RefusedForm

    def changelist_view(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        view = super().changelist_view  # type: ignore[misc]
        return self._or_message(view, request, *args, **kwargs)

    def delete_view(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        view = super().delete_view  # type: ignore[misc]
        return self._or_message(view, request, *args, **kwargs)

    def _or_message(
        self, view: Any, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Run a view; if it is refused, come back to it with a message."""
        try:
            with transaction.atomic(using=router.db_for_write(self.model)):
                return view(request, *args, **kwargs)
        except IntegrityError as error:
            refusal = self.refusal_message(error)
            if refusal is None:
                raise
        messages.error(request, refusal)
        return HttpResponseRedirect(request.get_full_path())
