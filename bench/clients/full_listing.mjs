/** The listing that this module reads, only parsed. */
export function listing(url) {
  return async () => (await (await fetch(`${url}/api/v1/models`)).json()).models.length;
}
