"""What the tests stand on: real engines, hubs, machines and browsers, each in a module of its own."""
