// A customer's bug: it throws before it has answered.
export default {
  async fetch() {
    throw new Error("there is no price for today");
  },
};
