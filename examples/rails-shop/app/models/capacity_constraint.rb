module CapacityConstraint
  # True if the error says that the constraint of this name had no place left.
  def self.violated?(error, name)
    cause = error.cause
    cause.is_a?(PG::CheckViolation) &&
      cause.result.error_field(PG::Result::PG_DIAG_CONSTRAINT_NAME) == name
  end

  # Counts all rows again. Call it after rows were written with triggers disabled.
  def self.rebuild_all
    ActiveRecord::Base.connection.execute(
      "SELECT booking.rebuild_capacity(constraint_name) FROM booking.capacity_constraints"
    )
  end
end
