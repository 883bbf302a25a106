/** The listing that this module reads, parsed and no more. */
export function listing(url) {
  return async () => (await (await fetch(`${url}/api/v1/models`)).json()).models.length;
}
