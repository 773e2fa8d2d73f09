class TicketsController < ActionController::API
  rescue_from(ActiveRecord::RecordNotFound) { head :not_found }

  def create
    ticket = Show.find(params[:show_id]).tickets.new(user_id: params.require(:user_id))
    if ticket.book
      render json: { id: ticket.id }, status: :created
    else
      render json: { errors: ticket.errors.full_messages }, status: :conflict
    end
  end
end
