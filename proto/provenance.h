/*
 * Where a step's output comes from: three layers of provenance, merged.
 */
#ifndef REEL_PROTO_PROVENANCE_H
#define REEL_PROTO_PROVENANCE_H

#include "base/bytes.h"

/*
 * Appends the merged map: `global` < `overrides` < {"workflow_id", "workflow_step_id"}, later
 * wins, key by key at the top level. A key stays where the lowest layer that has it put it;
 * new keys follow. `global` and `overrides` are checked msgpack maps, or none.
 * REEL_NO_MEMORY, and then nothing is left in `out`.
 */
enum reel_status reel_provenance_merge (struct reel_slice global, struct reel_slice overrides,
                                        struct reel_slice workflow_id, struct reel_slice step_id,
                                        struct reel_buf *out) REEL_MUST_USE;

#endif
