class CreateShowsAndTickets < ActiveRecord::Migration[6.1]
  def change
    create_table :shows do |t|
      t.string :title, null: false
      t.integer :capacity, null: false
    end

    create_table :tickets do |t|
      t.references :show, null: false, foreign_key: true
      t.bigint :user_id, null: false
      t.string :status, null: false, default: "sold"
      t.timestamps
    end
  end
end
