-- A DAG works on several crawl days at once, and Airflow cannot tell its runs of one day apart.

CREATE TABLE turns (
    dag_id        text NOT NULL,
    partition_key text NOT NULL,
    run_id        text NOT NULL,
    next_run_id   text,
    since         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dag_id, partition_key)
);
COMMENT ON TABLE turns IS 'Which Airflow run of a DAG may plan a crawl day. The next takes it over when Airflow says that this one runs no more; more than one need not wait.';
GRANT SELECT, INSERT, UPDATE (run_id, next_run_id, since) ON turns TO crawler;
