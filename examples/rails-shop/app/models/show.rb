class Show < ApplicationRecord
  has_many :tickets

  # Null: unlimited.
  def places_left
    self.class.uncached do
      self.class.connection.select_value(
        "SELECT booking.places_left('#{Ticket::CAPACITY}', #{id.to_i}::bigint)"
      )
    end
  end
end
