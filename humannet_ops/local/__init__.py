"""The embedded default: Postgres from a wheel, Airflow beside it."""
