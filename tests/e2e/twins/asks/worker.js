// Asks for what the header x-ask says, and answers what comes back.
export default {
  fetch(request) {
    const { url, ...options } = JSON.parse(request.headers.get("x-ask"));
    return fetch(url, options);
  },
};
