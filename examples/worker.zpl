#   The dispatch of the demo's workers: each modality with the command that serves it.
#   Paths are relative to this file.
work = "../build/work"
keep = always                       # the files that receipts name lie there
modality
    keyframe
        adapter = exec
        command = "adapters/keyframe"
        class = idempotent
        timeout_ms = 60000
    video
        adapter = exec
        command = "adapters/video"
        class = idempotent
        timeout_ms = 300000
    soundtrack
        adapter = exec
        command = "adapters/soundtrack"
        class = idempotent
        timeout_ms = 60000
    film
        adapter = exec
        command = "adapters/film"
        class = idempotent
        timeout_ms = 60000
