// Asks for one URL after the other, and says what each came to.
export default {
  async fetch(request) {
    const said = [];
    for (const url of JSON.parse(request.headers.get("x-ask"))) {
      try {
        const response = await fetch(url);
        said.push(`${response.status} ${await response.text()}`);
      } catch (e) {
        said.push(`${e.name}: ${e.message}`);
      }
    }
    return Response.json(said);
  },
};
