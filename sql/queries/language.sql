-- name: language_answer^
-- No row for a clip that was taken down: it is asked for before any picture is shown to a model.
SELECT a.answer
FROM clips c
JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
LEFT JOIN language_answers a ON a.request_sha256 = :request_sha256
WHERE c.clip_id = :clip_id;

-- name: keep_language_answer!
-- Two workers that asked the same at once were answered twice; the first answer stands. A clip that was taken down
-- meanwhile keeps none.
INSERT INTO language_answers (request_sha256, clip_id, prompt, model, answer)
SELECT :request_sha256, c.clip_id, :prompt, :model, :answer
FROM clips c JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
WHERE c.clip_id = :clip_id
ON CONFLICT (request_sha256) DO NOTHING;

-- name: record_language_call!
INSERT INTO language_calls (clip_id, stage, prompt, model, status, tokens_in, tokens_out, cost, seconds)
SELECT c.clip_id, :stage, :prompt, :model, :status, :tokens_in, :tokens_out, :cost, :seconds
FROM clips c JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
WHERE c.clip_id = :clip_id;
