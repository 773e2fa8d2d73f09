require "test_helper"
require "net/http"
require "ostruct"

# Real requests to puma, so no transaction around the tests.
class SaleTest < ActionDispatch::IntegrationTest
  self.use_transactional_tests = false

  def self.puma
    @puma ||= Puma.new.tap { |puma| Minitest.after_run { puma.stop } }
  end

  class Puma
    def initialize
      @output = IO.popen(%w[puma -e test -b tcp://127.0.0.1:0 config.ru], err: %i[child out])
      @url = @output.each_line.lazy.filter_map { |line| line[%r{http://127\.0\.0\.1:\d+}] }.first
      @drain = Thread.new { @output.each_line { |line| warn(line) if line.match?(/error/i) } }
    end

    def stop
      Process.kill(:TERM, @output.pid)
      @drain.join
      @output.close
    end

    def post(show, user_id)
      uri = URI("#{@url}/shows/#{show.id}/tickets")
      Net::HTTP.post_form(uri, user_id: user_id).code.to_i
    end

    # Sends so many requests by so many clients, and counts the answers by status.
    def stampede(show, requests:, clients:)
      users = Queue.new
      requests.times { |i| users << i }
      threads = Array.new(clients) do
        Thread.new { Array.new(requests / clients) { post(show, users.pop) } }
      end
      threads.flat_map(&:value).tally
    end
  end

  teardown do
    Ticket.delete_all
    Show.delete_all
  end

  def puma
    self.class.puma
  end

  # Lets the requests validate, and insert only when all of them have.
  def race(show, requests:)
    Ticket.transaction do
      connection = Ticket.connection
      connection.execute("LOCK TABLE tickets IN SHARE MODE")
      sale = Thread.new { puma.stampede(show, requests: requests, clients: requests) }
      sleep 0.01 until connection.uncached { connection.select_value(<<~SQL) } == requests
        SELECT count(*) FROM pg_locks WHERE relation = 'tickets'::regclass AND NOT granted
      SQL
      sale
    end.value
  end

  test "a stampede: 200 requests for 50 places" do
    show = shows(:opera)
    assert_equal({ 201 => 50, 409 => 150 }, puma.stampede(show, requests: 200, clients: 20))
    assert_equal 50, show.tickets.live.count
    assert_equal 0, show.places_left
    assert_empty capacity_problems
  end

  test "8 requests that validate before one of them inserts, for 1 place" do
    show = Show.create!(title: "Last place", capacity: 1)
    assert_equal({ 201 => 1, 409 => 7 }, race(show, requests: 8))
    assert_empty capacity_problems
  end

  test "the same without the constraint: all are sold" do
    context = ActiveRecord::Base.connection.migration_context
    show = Show.create!(title: "Last place", capacity: 1)
    ActiveRecord::Migration.suppress_messages { context.rollback }
    assert_equal({ 201 => 8 }, race(show, requests: 8))
  ensure
    Ticket.delete_all
    ActiveRecord::Migration.suppress_messages { context.migrate }
  end

  test "a pool that resets sessions" do
    show = shows(:opera)
    booked = Array.new(4) do
      Thread.new do
        Array.new(25) do |i|
          Ticket.connection_pool.with_connection do |connection|
            show.tickets.new(user_id: i).book.tap { connection.reset! }
          end
        end
      end
    end
    assert_equal({ true => 50, false => 50 }, booked.flat_map(&:value).tally)
    assert_empty capacity_problems
  end

  test "a show that does not exist" do
    assert_equal 404, puma.post(Show.new(id: 999_999_999), 1)
  end

  test "numbers that are none" do
    ["", "x", "1.5", "9" * 30].each { |user| assert_equal 400, puma.post(shows(:opera), user) }
    ["x", "-1", "9" * 30].each { |id| assert_equal 404, puma.post(OpenStruct.new(id: id), 1) }
  end
end
