/** A text as a variable of a container: the kubelet expands `$(NAME)` in it; `$$(` is how it writes a plain `$(`. */
export function literal(value: string): string {
  return value.replaceAll('$(', '$$$$(');
}
