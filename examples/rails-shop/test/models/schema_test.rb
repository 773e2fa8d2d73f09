require "test_helper"

# What is true after Rails' own tools have written without triggers, and the call that mends it.
class SchemaTest < ActiveSupport::TestCase
  self.use_transactional_tests = false

  teardown do
    Ticket.delete_all
    Show.delete_all
  end

  def load_fixtures_alone
    ActiveRecord::FixtureSet.reset_cache
    ActiveRecord::FixtureSet.create_fixtures("test/fixtures", %w[shows tickets])
    Show.find_by!(title: "Concert")
  end

  def insert(show)
    Ticket.new(show: show, user_id: 1).save!(validate: false)
  end

  test "a show of new fixtures sells nothing until the constraint is rebuilt" do
    Ticket.delete_all
    Show.delete_all
    concert = load_fixtures_alone
    assert_not_empty capacity_problems
    error = assert_raises(ActiveRecord::InvalidForeignKey) { insert(concert) }
    assert_match "call booking.rebuild_capacity('tickets_show_id_capacity')", error.message

    CapacityConstraint.rebuild_all
    assert_empty capacity_problems
    insert(concert)
    assert_raises(ActiveRecord::StatementInvalid) { insert(concert) }
  end

  test "a show of fixtures that are loaded again is oversold unless the constraint is rebuilt" do
    tickets(:first).destroy!
    concert = load_fixtures_alone # the ticket is there again, and was not counted
    2.times { insert(concert) }
    assert_equal 3, concert.tickets.live.count
    assert_equal 2, concert.capacity

    concert = load_fixtures_alone
    CapacityConstraint.rebuild_all
    insert(concert)
    assert_raises(ActiveRecord::StatementInvalid) { insert(concert) }
    assert_empty capacity_problems
  end

  test "truncate_tables, and so db:truncate_all, does not give the places back" do
    concert = shows(:concert)
    insert(concert)
    Ticket.connection.truncate_tables("tickets", "shows")
    assert_not_empty capacity_problems
    Show.create!(id: concert.id, title: "Another", capacity: 2)
    assert_raises(ActiveRecord::StatementInvalid) { insert(concert) }

    CapacityConstraint.rebuild_all
    assert_empty capacity_problems
    2.times { insert(concert) }
  end

  test "TRUNCATE does" do
    insert(shows(:concert))
    Ticket.connection.execute("TRUNCATE tickets, shows RESTART IDENTITY CASCADE")
    assert_empty capacity_problems
  end

  test "the migration can be taken back and applied again" do
    context = ActiveRecord::Base.connection.migration_context
    ActiveRecord::Migration.suppress_messages { context.rollback }
    3.times { insert(shows(:concert)) }
    Ticket.delete_all
    ActiveRecord::Migration.suppress_messages { context.migrate }
    assert_empty capacity_problems
    2.times { insert(shows(:concert)) }
    assert_raises(ActiveRecord::StatementInvalid) { insert(shows(:concert)) }
  end

  test "schema.rb would have the extension, but no trigger" do
    dump = StringIO.new
    ActiveRecord::SchemaDumper.dump(ActiveRecord::Base.connection, dump)
    assert_match 'enable_extension "pg_booking"', dump.string
    assert_no_match(/capacity_count|add_capacity_constraint/, dump.string)
  end
end
