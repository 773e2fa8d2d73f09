class LimitTicketsToCapacity < ActiveRecord::Migration[6.1]
  def up
    enable_extension "pg_booking"
    execute <<~SQL
      SELECT booking.add_capacity_constraint('tickets', '{show_id}',
          capacity_table => 'shows', capacity_column => 'capacity',
          condition => $$status <> 'cancelled'$$)
    SQL
  end

  def down
    execute "SELECT booking.drop_capacity_constraint('tickets_show_id_capacity')"
  end
end
