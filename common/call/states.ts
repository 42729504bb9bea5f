/**
 * The life of a call, the same in proxy and sidecar, for plain calls and for upgrades:
 *
 *     waiting ──place──▶ running ──answered, failed, cancelled──▶ ended
 *        ▲                  │
 *        └──────again───────┘
 *
 * - `waiting`: it is in line for a place, for the first time or again. It may leave at any time.
 * - `running`: it holds a place, and one try is under way. A try that may be made again gives the place back first.
 * - `ended`: its caller has an answer, or has left. Nothing follows, and it ends once.
 *
 * `docs/decisions/call-life.md` says which hop makes which step again, and why.
 *
 * Room `common/call`: What a call is in every part: states, methods, policies.
 * Comes in: a method, a policy as JSON.
 * Goes out: typed policies and answers to "may it be sent again".
 */
export type CallPhase = 'waiting' | 'running' | 'ended';
