/**
 * The only loader of @peculiar/x509, with what it needs to load at all. The import is static, because a bundler gives
 * a dynamic one of a CommonJS module another shape. 120 ms to load: import this file dynamically.
 */
import './reflect-metadata.ts';
import * as x509 from '@peculiar/x509';

export { x509 };
