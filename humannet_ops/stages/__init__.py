"""One file a stage. Knows no Airflow."""
