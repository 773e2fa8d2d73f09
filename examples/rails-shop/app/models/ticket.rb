class Ticket < ApplicationRecord
  CAPACITY = "tickets_show_id_capacity"

  belongs_to :show

  scope :live, -> { where.not(status: "cancelled") }

  # Two requests can pass this at once. The constraint in the database refuses one of them.
  validate :show_has_a_place, on: :create

  # Like save: if the show is sold out, it is false, and errors says so.
  def book
    self.class.transaction(requires_new: true) { save }
  rescue ActiveRecord::StatementInvalid => e
    raise unless CapacityConstraint.violated?(e, CAPACITY)

    add_sold_out
    false
  end

  private

  def show_has_a_place
    add_sold_out if show && show.tickets.live.count >= show.capacity
  end

  def add_sold_out
    errors.add(:base, :sold_out, message: "The show is sold out")
  end
end
