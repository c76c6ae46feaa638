export default {
  fetch(request) {
    console.log("outbound ran");
    return fetch(request);
  },
};
