/**
 * Which of two announcements of one pod's sidecar is the later one. A sidecar that restarts alone is another run in the
 * same pod. What its former run announced, `draining` above all, holds no longer. Messages may also arrive in
 * another order than they were sent.
 */

/** In each message of a sidecar; both are absent from sidecars of 0.1.0. */
export interface AnnouncementOrder {
  /** When this run of the sidecar began, in milliseconds since 1970: it only has to grow from run to run. */
  readonly start?: number;
  /** Counts what this run has announced: 0 for the first state, 1 for the next. A repetition has the same number. */
  readonly seq?: number;
}

/**
 * @param known the last announcement of that pod; undefined: none
 * @returns above 0: `message` is later; 0: it is the same, or nobody can tell; below 0: it is earlier
 */
export function compareAnnounced(message: AnnouncementOrder, known: AnnouncementOrder | undefined): number {
  // Only a change of the pod's image in place makes one pod speak with numbers and without: it is another run.
  if (message.start === undefined) return known?.start === undefined ? 0 : 1;
  if (known?.start === undefined) return 1;
  return message.start - known.start || (message.seq ?? 0) - (known.seq ?? 0);
}
