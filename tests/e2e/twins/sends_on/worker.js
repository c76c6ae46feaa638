// Sends its request on, its body as a stream.
export default {
  fetch(request) {
    return fetch(new Request(request.headers.get("x-url"), request));
  },
};
