/**
 * Whether a header name is one of our own, or one that a server reads as ours. CGI, WSGI, PHP and their like make a
 * variable of each header: letters in upper case, all else an underscore. So `SlimFaas_Element_Id` and
 * `SlimFaas.Element.Id` become the same HTTP_SLIMFAAS_ELEMENT_ID as `SlimFaas-Element-Id`. Pure.
 */

const PREFIX = 'slimfaas';

/** `slimfaas` and then anything but a letter or digit: all names of this kind are ours. */
export function isOwnField(name: string): boolean {
  if (name.length <= PREFIX.length || (name.charCodeAt(0) | 0x20) !== 0x73) return false;
  return (
    !isAlphanumeric(name.charCodeAt(PREFIX.length)) && name.slice(0, PREFIX.length).toLowerCase() === PREFIX
  );
}

/** The name, in lower case, that such a server takes this one for. */
export function foldField(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-');
}

function isAlphanumeric(code: number): boolean {
  const letter = code | 0x20;
  return (code >= 0x30 && code <= 0x39) || (letter >= 0x61 && letter <= 0x7a);
}
