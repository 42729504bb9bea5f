/** One room, as it stands in the table; `uses`: rooms of the same part, by spaces. */
export type Line = readonly [face: string, does: string, comesIn: string, goesOut: string, uses?: string];
