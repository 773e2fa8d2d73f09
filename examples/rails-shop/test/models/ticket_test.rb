require "test_helper"

class TicketTest < ActiveSupport::TestCase
  setup { @concert = shows(:concert) } # two places, one of them sold

  # The validation is not asked: another request could pass it at the same moment.
  def insert(show, user_id = 3)
    Ticket.new(show: show, user_id: user_id).tap { |ticket| ticket.save!(validate: false) }
  end

  test "the fixtures are counted" do
    assert_equal 1, @concert.places_left
    assert_empty capacity_problems
    insert(@concert)
    assert_raises(ActiveRecord::StatementInvalid) { insert(@concert) }
  end

  test "a refusal is a StatementInvalid with the constraint's name in its cause" do
    @concert.update!(capacity: 1)
    error = assert_raises(ActiveRecord::StatementInvalid) { insert(@concert) }
    assert_instance_of ActiveRecord::StatementInvalid, error
    assert_instance_of PG::CheckViolation, error.cause
    assert CapacityConstraint.violated?(error, "tickets_show_id_capacity")
    assert_not CapacityConstraint.violated?(error, "another_capacity")
  end

  test "a show that does not exist is a foreign key's error" do
    error = assert_raises(ActiveRecord::InvalidForeignKey) do
      Ticket.insert_all!([{ show_id: 0, user_id: 3, created_at: Time.now, updated_at: Time.now }])
    end
    assert_not CapacityConstraint.violated?(error, "tickets_show_id_capacity")
  end

  test "book leaves the outer transaction usable and the record unsaved" do
    insert(@concert)
    ticket = @concert.tickets.new(user_id: 4)
    ticket.define_singleton_method(:show_has_a_place) {} # as if another request were faster
    assert_not ticket.book
    assert ticket.new_record?
    assert_nil ticket.id
    assert_equal ["The show is sold out"], ticket.errors.full_messages
    assert_equal 2, @concert.tickets.live.count
  end

  test "a cancelled ticket's place can be sold again" do
    insert(@concert)
    tickets(:first).update!(status: "cancelled")
    assert @concert.tickets.new(user_id: 4).book
    assert_equal 0, @concert.places_left
  end

  test "the query cache repeats an answer, and places_left does not" do
    Ticket.cache do
      sql = "SELECT booking.places_left('tickets_show_id_capacity', #{@concert.id}::bigint)"
      assert_equal 1, Ticket.connection.select_value(sql)
      Ticket.connection.execute("INSERT INTO tickets (show_id, user_id, created_at, updated_at)
                                 VALUES (#{@concert.id}, 4, now(), now())")
      assert_equal 1, Ticket.connection.select_value(sql)
      assert_equal 0, @concert.places_left
    end
  end
end
