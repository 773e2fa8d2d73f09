ENV["RAILS_ENV"] = "test"
require_relative "../config/environment"
require "rails/test_help"

# Fixtures are written with triggers disabled, so the constraint has not counted them.
module RebuildCapacityAfterFixtures
  private

  def load_fixtures(config)
    super.tap { CapacityConstraint.rebuild_all }
  end
end

class ActiveSupport::TestCase
  prepend RebuildCapacityAfterFixtures
  fixtures :all

  def capacity_problems
    ActiveRecord::Base.connection.select_rows("SELECT * FROM booking.verify_capacity()")
  end
end
