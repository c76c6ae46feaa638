class QuotaError extends Error {
  name = "QuotaError";
}

export default {
  fetch(request) {
    const kind = request.headers.get("x-kind") === "QuotaError" ? QuotaError : TypeError;
    throw new kind("out of it");
  },
};
