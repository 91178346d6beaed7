"""The only importer of Airflow."""
