/** Where a function is called by its name. */
export const FUNCTION_PREFIX = '/function/';
