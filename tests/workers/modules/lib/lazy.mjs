export default "loaded late";
