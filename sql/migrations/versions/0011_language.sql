-- What language models answered, and what that cost.
CREATE TABLE language_answers (
    request_sha256 text PRIMARY KEY,
    clip_id        text NOT NULL REFERENCES clips,
    prompt         text NOT NULL,
    model          text NOT NULL,
    answer         jsonb NOT NULL,
    answered_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE language_answers IS 'What language models answered: the same question about the same pictures is not paid for twice.';
COMMENT ON COLUMN language_answers.request_sha256 IS 'Of the model, the prompt''s version, the words, the schema and the pictures.';
CREATE INDEX language_answers_clip ON language_answers (clip_id);

CREATE TABLE language_calls (
    call_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    clip_id    text NOT NULL REFERENCES clips,
    stage      text NOT NULL,
    prompt     text NOT NULL,
    model      text NOT NULL,
    status     text NOT NULL CHECK (status IN ('answered', 'cached', 'refused', 'malformed', 'failed')),
    tokens_in  bigint NOT NULL,
    tokens_out bigint NOT NULL,
    cost       double precision NOT NULL,
    seconds    double precision NOT NULL,
    called_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE language_calls IS 'Each question to a language model, how it ended, and what it cost by the prices of the settings.';
CREATE INDEX language_calls_clip ON language_calls (clip_id);

-- What language models were asked and what that cost, by stage, prompt and model.
CREATE VIEW v_language_usage AS
SELECT
    l.stage,
    l.prompt,
    l.model,
    count(*) AS calls,
    count(*) FILTER (WHERE l.status = 'cached') AS cached,
    count(*) FILTER (WHERE l.status = 'refused') AS refused,
    count(*) FILTER (WHERE l.status = 'malformed') AS malformed,
    count(*) FILTER (WHERE l.status = 'failed') AS failed,
    sum(l.tokens_in) AS tokens_in,
    sum(l.tokens_out) AS tokens_out,
    sum(l.cost) AS cost,
    sum(l.seconds) AS seconds
FROM language_calls l
JOIN clips c USING (clip_id)
JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
GROUP BY l.stage, l.prompt, l.model
ORDER BY l.stage, l.prompt, l.model;

GRANT SELECT, INSERT ON language_answers TO worker;
GRANT INSERT ON language_calls TO worker;
GRANT SELECT, DELETE ON language_answers, language_calls TO crawler, reviewer;
