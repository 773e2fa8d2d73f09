class TicketsController < ActionController::API
  rescue_from(ActiveRecord::RecordNotFound) { head :not_found }

  def create
    # A real shop takes the user from the session, never from the request.
    user_id = params[:user_id].to_s
    return head :bad_request unless user_id.match?(/\A\d{1,18}\z/)

    ticket = Show.find(params[:show_id]).tickets.new(user_id: user_id)
    if ticket.book
      render json: { id: ticket.id }, status: :created
    else
      render json: { errors: ticket.errors.full_messages }, status: :conflict
    end
  end
end
