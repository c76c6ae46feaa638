// Uses three APIs of the platform, with credentials for none.
const APIS = {
  payments: "https://payments.example.com/charge",
  mail: "https://mail.example.com/send",
  maps: "https://maps.example.com/route",
};

export default {
  async fetch() {
    const calls = Object.entries(APIS).map(async ([name, url]) => {
      const response = await fetch(url, { method: "POST", body: "{}" });
      return [name, response.status];
    });
    return Response.json(Object.fromEntries(await Promise.all(calls)));
  },
};
