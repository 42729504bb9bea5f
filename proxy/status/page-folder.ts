/** Where the status page's files are: beside this file in the sources, and beside the bundle in dist/. */
export const PAGE_FOLDER = new URL('./status-page/', import.meta.url);
