require "rails"
require "active_record/railtie"
require "action_controller/railtie"
require "rails/test_unit/railtie"

module Shop
  class Application < Rails::Application
    config.load_defaults 6.1
    config.api_only = true
    config.eager_load = Rails.env.production?
    config.hosts.clear if Rails.env.test?
    config.secret_key_base = "for tests only" unless Rails.env.production?

    # schema.rb can't describe triggers.
    config.active_record.schema_format = :sql
  end
end
