"""Grafana's dashboards, as plain values: a module for each, and `drawing`, which makes Grafana's JSON of them."""
