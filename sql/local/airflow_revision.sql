-- The migration that Airflow's own database is at.
SELECT version_num FROM alembic_version;
