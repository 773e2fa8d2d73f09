# The gems are Debian's. With a Gemfile, this is require "bundler/setup".
require "pathname"
