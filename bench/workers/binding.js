// The dispatch namespace binding of the plain chain: whatever the name and the options, the one
// user Worker, as a service binding. Nothing is looked up and no param is carried.
export default (env) => ({ get: () => env.user });
