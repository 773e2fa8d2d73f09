Rails.application.routes.draw do
  resources :shows, only: [] do
    resources :tickets, only: :create
  end
end
