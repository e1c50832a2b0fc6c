/**
 * Names of a module's path from the outermost on; numbers stay with the name in front of them: "up_blocks.1",
 * "attn1".
 */
export function namesOf(path: string): string[] {
  return path.split(/\.(?!\d+(?:\.|$))/);
}
