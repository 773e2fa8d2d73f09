from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("shows/<int:show_id>/buy/", views.buy),
    path("shows/<int:show_id>/basket/", views.basket),
    path("tickets/<int:ticket_id>/paid/", views.paid),
    path("tickets/<int:ticket_id>/failed/", views.payment_failed),
]
